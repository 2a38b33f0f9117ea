//! A relay that only copies bytes: what any proxy on this runtime costs at least. `relay LISTEN TARGET`, both `host:port`.

use std::io;
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target] = arguments.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: relay LISTEN TARGET"));
    };
    // As many threads as the wall has.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(listen, target))
}

async fn run(listen: &str, target: &str) -> io::Result<()> {
    let socket = TcpListener::bind(listen).await?;
    loop {
        let (mut client, _) = socket.accept().await?;
        let target = target.to_owned();
        tokio::spawn(async move {
            let Ok(mut upstream) = TcpStream::connect(target).await else { return };
            if client.set_nodelay(true).and(upstream.set_nodelay(true)).is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            }
        });
    }
}
