//! Who listens on a port: for an error that helps.

use std::fs;
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// The name and number of a process that listens on a TCP port, if it is one that we may look into.
pub fn port_owner(port: u16) -> Option<(String, u32)> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|table| fs::read_to_string(table).ok());
    let inodes = sockets.flat_map(|table| listening_inodes(&table, port)).collect::<Vec<_>>();
    let links = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let owner = numbers.find(|pid| has_descriptor(*pid, &links))?;
    let name = fs::read_to_string(format!("/proc/{owner}/comm")).ok()?;
    Some((name.trim().to_owned(), owner))
}

fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let inode = |line: &str| {
        let mut fields = line.split_whitespace();
        let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let is_meant = u16::from_str_radix(local_port, 16).ok()? == port && state == LISTEN;
        // After the state: queues, timer, retransmissions, user, timeout, inode.
        is_meant.then(|| fields.nth(5)).flatten().map(str::to_owned)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn has_descriptor(pid: u32, links: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else { return false };
    let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter_map(|target| target.to_str().map(str::to_owned)).any(|target| links.contains(&target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_our_own_port_is_this_process() {
        let listener = crate::sockets::listener(0).unwrap();
        let (_, pid) = port_owner(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(pid, std::process::id());
    }

    #[test]
    fn a_port_without_a_listener_has_no_owner() {
        let reservation = crate::sockets::Reservation::new().unwrap();
        assert_eq!(port_owner(reservation.address().port()), None);
    }
}
