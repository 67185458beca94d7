//! Leases, roots, the policy of garbage collection, pushes to binary caches. Nothing is kept beyond a run yet: temporary roots, which
//! the store's own connection holds, keep what is being reviewed.
