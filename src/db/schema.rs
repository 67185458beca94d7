//! The tables as diesel sees them. `migrations/` says what the columns mean.

use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    repositories (name) {
        name -> Text,
        path -> Binary,
        base_branch -> Text,
        url -> Nullable<Text>,
        read_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
    }
}

table! {
    branch_numbers (repository, branch) {
        repository -> Text,
        branch -> Text,
        number -> BigInt,
    }
}

table! {
    reviews (id) {
        id -> Text,
        repository -> Text,
        number -> Nullable<BigInt>,
        base_rev -> Text,
        base_ref -> Nullable<Text>,
        head_rev -> Text,
        head_ref -> Nullable<Text>,
        tree -> Nullable<Text>,
        state -> Text,
        decision -> Text,
        summary -> Text,
        rebuilds -> BigInt,
        newly_failing -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        superseded_by -> Nullable<Text>,
        waits_since -> Nullable<BigInt>,
    }
}

table! {
    reports (review) {
        review -> Text,
        json -> Binary,
    }
}

table! {
    pulls (repository, number) {
        repository -> Text,
        number -> BigInt,
        title -> Text,
        author -> Text,
        branch -> Text,
        head -> Text,
        base_branch -> Text,
        base -> Text,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        additions -> BigInt,
        deletions -> BigInt,
        review -> Nullable<Text>,
    }
}

table! {
    evaluations (id) {
        id -> BigInt,
        key -> Nullable<Text>,
        sealed_for -> Text,
        trace_key -> Text,
        tree -> Text,
        jobset -> Text,
        system -> Text,
        saved_at -> BigInt,
        used_at -> BigInt,
        anchor -> Nullable<BigInt>,
        sketch -> Nullable<Binary>,
        bytes -> BigInt,
        blob -> Binary,
    }
}

table! {
    trace_sets (id) {
        id -> BigInt,
        key -> Text,
        tree -> Text,
        jobset -> Text,
        system -> Text,
        attrs -> BigInt,
        untraced -> BigInt,
        saved_at -> BigInt,
        used_at -> BigInt,
        bytes -> BigInt,
        blob -> Binary,
    }
}

table! {
    eval_alarms (id) {
        id -> BigInt,
        at -> BigInt,
        trace_key -> Text,
        tree -> Text,
        jobset -> Text,
        system -> Text,
        review -> Nullable<Text>,
        summary -> Text,
        attrs -> BigInt,
        kept -> Nullable<Binary>,
        acknowledged_at -> Nullable<BigInt>,
        settled_at -> Nullable<BigInt>,
    }
}

table! {
    outcomes (drv) {
        drv -> Text,
        outcome -> Text,
        message -> Nullable<Text>,
        at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    attempts (id) {
        id -> BigInt,
        drv -> Text,
        base_name -> Text,
        time -> Text,
        builder -> Text,
        review -> Nullable<Text>,
        started_at -> BigInt,
        outcome -> Nullable<Text>,
        seconds -> Nullable<Double>,
        message -> Nullable<Text>,
        cpu_seconds -> Nullable<Double>,
        peak_memory_bytes -> Nullable<BigInt>,
        io_read_bytes -> Nullable<BigInt>,
        io_written_bytes -> Nullable<BigInt>,
        copied_in_bytes -> Nullable<BigInt>,
        copied_out_bytes -> Nullable<BigInt>,
    }
}

table! {
    durations (pname) {
        pname -> Text,
        seconds -> Double,
        samples -> BigInt,
    }
}

table! {
    outcome_sums (outcome) {
        outcome -> Text,
        attempts -> BigInt,
        seconds -> Double,
        cpu_seconds -> Double,
        io_read_bytes -> BigInt,
        io_written_bytes -> BigInt,
        copied_in_bytes -> BigInt,
        copied_out_bytes -> BigInt,
    }
}

table! {
    drained_builders (name) {
        name -> Text,
        at -> BigInt,
    }
}

table! {
    alarmed_reviews (review, alarm) {
        review -> Text,
        alarm -> BigInt,
    }
}

table! {
    deliveries (id) {
        id -> Text,
        event -> Text,
        received_at -> BigInt,
        handled_at -> Nullable<BigInt>,
        body -> Binary,
    }
}

table! {
    installations (id) {
        id -> BigInt,
        seen_at -> BigInt,
    }
}

table! {
    github_repositories (id) {
        id -> BigInt,
        name -> Text,
        installation -> BigInt,
        default_branch -> Text,
        private -> Bool,
        merge_methods -> Nullable<Text>,
    }
}

table! {
    check_runs (repository, head, name) {
        repository -> BigInt,
        head -> Text,
        name -> Text,
        review -> Text,
        attr -> Nullable<Text>,
        remote -> Nullable<BigInt>,
        told -> Nullable<Text>,
        stale_since -> Nullable<BigInt>,
    }
}

table! {
    evidence (review, part) {
        review -> Text,
        part -> Text,
        json -> Binary,
    }
}

table! {
    standings (drv) {
        drv -> Text,
        outcome -> Text,
        at -> BigInt,
    }
}

table! {
    comments (repository, id) {
        repository -> BigInt,
        id -> BigInt,
        number -> BigInt,
        heard_at -> BigInt,
        orders -> Nullable<Text>,
        answer -> Nullable<Text>,
        replying -> Bool,
        done_at -> Nullable<BigInt>,
        head -> Nullable<Text>,
    }
}

table! {
    users (id) {
        id -> BigInt,
        login -> Text,
        name -> Nullable<Text>,
        seen_at -> BigInt,
    }
}

table! {
    sessions (hash) {
        hash -> Binary,
        user_id -> BigInt,
        created_at -> BigInt,
        used_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

table! {
    user_tokens (session) {
        session -> Binary,
        sealed -> Binary,
    }
}

table! {
    permissions (repository, number, head) {
        repository -> Text,
        number -> BigInt,
        head -> Text,
        allowed_by -> Nullable<BigInt>,
        allowed_at -> BigInt,
    }
}

table! {
    labelled_pulls (repository, number) {
        repository -> BigInt,
        number -> BigInt,
        told -> Nullable<Text>,
        stale_since -> Nullable<BigInt>,
    }
}

table! {
    merges (repository, number) {
        repository -> BigInt,
        number -> BigInt,
        head -> Text,
        method -> Nullable<Text>,
        by_id -> BigInt,
        by_login -> Text,
        comment -> Nullable<BigInt>,
        asked_at -> BigInt,
        state -> Text,
        sentence -> Nullable<Text>,
        told -> Bool,
        title -> Nullable<Text>,
        message -> Nullable<Text>,
    }
}

table! {
    asked_builds (review, attr) {
        review -> Text,
        attr -> Text,
    }
}

table! {
    branch_points (id) {
        id -> BigInt,
        repository -> Text,
        branch -> Text,
        rev -> Text,
        at -> BigInt,
        attributes -> BigInt,
        errors -> BigInt,
        eval_seconds -> Nullable<Double>,
    }
}

table! {
    attributes (id) {
        id -> BigInt,
        repository -> Text,
        branch -> Text,
        jobset -> Text,
        system -> Text,
        attr -> Text,
        drv -> Text,
        name -> Text,
        first -> BigInt,
        last -> Nullable<BigInt>,
    }
}

table! {
    closure_sizes (drv) {
        drv -> Text,
        bytes -> BigInt,
    }
}

table! {
    happenings (id) {
        id -> BigInt,
        repository -> Text,
        number -> BigInt,
        review -> Nullable<Text>,
        at -> BigInt,
        what -> Text,
        detail -> Text,
    }
}

table! {
    opinions (repository, number, by_id) {
        repository -> Text,
        number -> BigInt,
        by_id -> BigInt,
        by_login -> Text,
        stance -> Text,
        head -> Nullable<Text>,
        said_at -> BigInt,
    }
}

table! {
    opinions_read (repository, number) {
        repository -> Text,
        number -> BigInt,
        touched_at -> BigInt,
        read_at -> BigInt,
    }
}

allow_tables_to_appear_in_same_query!(pulls, reviews);
allow_tables_to_appear_in_same_query!(opinions, pulls);
allow_tables_to_appear_in_same_query!(check_runs, reviews);
allow_tables_to_appear_in_same_query!(check_runs, github_repositories);
allow_tables_to_appear_in_same_query!(github_repositories, reviews);
allow_tables_to_appear_in_same_query!(alarmed_reviews, eval_alarms);
allow_tables_to_appear_in_same_query!(sessions, users);
allow_tables_to_appear_in_same_query!(sessions, user_tokens);
