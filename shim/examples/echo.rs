//! An echo server on tokio with several worker threads, and clients for it: what tests host.

use std::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, sleep};

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:7777").await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let start = Instant::now();
    let client = |number: u64| async move {
        let mut stream = TcpStream::connect("127.0.0.1:7777").await?;
        let mut answers = Vec::new();
        for round in 0..3_u64 {
            sleep(Duration::from_millis((number + round) % 3)).await;
            stream.write_all(format!("{number}.{round} ").as_bytes()).await?;
            let mut buffer = [0; 64];
            let count = stream.read(&mut buffer).await?;
            answers.extend_from_slice(&buffer[..count]);
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answers).into_owned())
    };
    let clients: Vec<_> = (0..5).map(|number| tokio::spawn(client(number))).collect();
    for client in clients {
        print!("{}", client.await??);
    }
    println!("in {:?}", start.elapsed());
    Ok(())
}
