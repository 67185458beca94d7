//! What several benchmarks use.

#![allow(dead_code, reason = "each benchmark takes its own part")]

/// A number from the environment.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A random graph, the same for the same `count`: each derivation needs up to three earlier ones. `salt` makes it new to the store.
pub fn graph(count: usize, salt: &str) -> String {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut text = format!(
        "let d = name: inputs: derivation {{ inherit name inputs; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo > $out # {salt}\" ]; }};\n set = rec {{\n"
    );
    for i in 0..count {
        let inputs: Vec<String> = (0..random(4).min(i)).map(|_| format!("p{}", random(i))).collect();
        text.push_str(&format!("  p{i} = d \"p{i}\" [ {} ];\n", inputs.join(" ")));
    }
    text.push_str(" };\nin set\n");
    text
}
