//! Prints what one synced append costs beside a bare write and fdatasync:
//! `cargo run --release -p stoa-store --example wal -- /a/directory/on/the/disk`.
#![allow(clippy::print_stdout, reason = "it is what this prints")]

use std::path::PathBuf;

const ROUNDS: usize = 1000;

fn main() -> std::io::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    let sizes = [256, 1024].map(|bytes| [1, 16, 128].map(|writers| (writers, bytes)));
    println!("bytes  writers  floor p50 µs  log p50 µs  ratio");
    for row in store::bench::log_floor(&dir, &sizes.concat(), ROUNDS)? {
        let ratio = row.log_p50_us / row.floor_p50_us;
        println!(
            "{:>5}  {:>7}  {:>12.0}  {:>10.0}  {ratio:>5.2}",
            row.bytes, row.writers, row.floor_p50_us, row.log_p50_us
        );
    }
    Ok(())
}
