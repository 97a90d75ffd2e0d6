//! ss and netstat: ports that listen, as `/proc/net` says.

/// State of a listening TCP socket, and of a UDP socket without a peer.
const TABLES: [(&str, &str, &str); 4] =
    [("tcp", "/proc/net/tcp", "0A"), ("tcp", "/proc/net/tcp6", "0A"), ("udp", "/proc/net/udp", "07"), ("udp", "/proc/net/udp6", "07")];

pub fn run(name: &str) -> i32 {
    if name == "ss" {
        println!("Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process");
    } else {
        println!("Active Internet connections (only servers)");
        println!("Proto Recv-Q Send-Q Local Address           Foreign Address         State       ");
    }
    for (protocol, path, state) in TABLES {
        for port in listening(&std::fs::read_to_string(path).unwrap_or_default(), state) {
            let local = if path.ends_with('6') { format!(":::{port}") } else { format!("0.0.0.0:{port}") };
            if name == "ss" {
                println!("{protocol}   LISTEN 0      511    {local:<18} *:*     ");
            } else {
                println!("{protocol:<5}      0      0 {local:<23} {:<23} LISTEN      ", "*:*");
            }
        }
    }
    0
}

fn listening(table: &str, state: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, _, is) = (words.next()?, words.next()?, words.next()?);
            u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok().filter(|_| is == state)
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_that_listen_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:2135 00000000:0000 0A 00000000:00000000\n   1: 0100007F:0050 0100007F:9000 01 00000000\n";
        assert_eq!(super::listening(table, "0A"), [8501]);
    }
}
