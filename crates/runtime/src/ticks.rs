//! When a process started: two processes that have had the same number differ in this.

use std::{fs, io};

/// In clock ticks since the machine started: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). None when there is no such
/// process, or only its remains.
pub(crate) fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The name, field 2, may hold anything; it ends at the last parenthesis.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let mut fields = after_name.into_iter().flatten();
    if fields.next() == Some("Z") {
        return Ok(None);
    }
    Ok(fields.nth(18).and_then(|field| field.parse().ok()))
}
