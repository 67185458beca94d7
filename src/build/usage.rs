//! What an attempt to build used.

/// `None` where it was not measured, or does not apply.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub cpu_seconds: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    /// From and to disks.
    pub io_read_bytes: Option<u64>,
    pub io_written_bytes: Option<u64>,
    /// To the builder before the build, and from it after; of a remote one.
    pub copied_in_bytes: Option<u64>,
    pub copied_out_bytes: Option<u64>,
}
