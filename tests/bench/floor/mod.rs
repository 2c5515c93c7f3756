//! The floors: servers that do only what the disk and the kernel must do, for the same frames over the same socket settings.
//! They run as processes of their own (this program again, as `bench floor ...`), so that their CPU time is read the same way
//! as the broker's. Blocking, a thread per connection, no checks.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand};
use socket2::{Domain, Protocol, Socket, Type};

pub mod append;
pub mod disk;
pub mod sendfile;

/// `bench floor ...`, which only the bench itself calls.
#[derive(Parser)]
#[command(name = "bench floor")]
pub struct FloorOptions {
    #[command(subcommand)]
    kind: Kind,
    /// Set on the listening socket, so that accepted ones inherit it.
    #[arg(long, global = true)]
    congestion: Option<String>,
    /// Appended to, or sent.
    #[arg(long, global = true, default_value = "floor.log")]
    file: PathBuf,
    /// A topic name as long as the one in the requests: it fixes where the fields stand.
    #[arg(long, global = true, default_value = "")]
    topic: String,
}

#[derive(Subcommand)]
enum Kind {
    /// Append each Produce request's records, fdatasync, answer.
    Append {
        /// Answer without the sync.
        #[arg(long)]
        no_sync: bool,
    },
    /// Answer each Fetch request with a head and sendfile.
    Sendfile {
        #[arg(long)]
        batch_bytes: u64,
        #[arg(long)]
        batch_records: u64,
    },
}

impl FloorOptions {
    /// Serves until the bench closes standard input, which it also does by dying.
    pub fn serve(self) -> io::Result<()> {
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            exit(0);
        });
        let listener = listen(self.congestion.as_deref())?;
        println!("  address     {}", listener.local_addr()?);
        match self.kind {
            Kind::Append { no_sync } => {
                let floor = append::AppendFloor::create(&self.file, &self.topic, !no_sync)?;
                accept(&listener, Arc::new(move |stream: TcpStream| floor.serve(stream)))
            }
            Kind::Sendfile { batch_bytes, batch_records } => {
                let floor =
                    sendfile::SendfileFloor::open(&self.file, &self.topic, batch_bytes, batch_records)?;
                accept(&listener, Arc::new(move |stream: TcpStream| floor.serve(stream)))
            }
        }
    }
}

fn listen(congestion: Option<&str>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(congestion) = congestion {
        socket.set_tcp_congestion(congestion.as_bytes())?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

fn accept(
    listener: &TcpListener,
    serve: Arc<dyn Fn(TcpStream) -> io::Result<()> + Send + Sync>,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let serve = Arc::clone(&serve);
        thread::spawn(move || match serve(stream) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => eprintln!("floor: {error}"),
            _ => {}
        });
    }
}

/// The next frame with its length, into `buffer`. The bench is the only client, so any length is believed.
fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    buffer.resize(4 + u32::from_be_bytes(length) as usize, 0);
    buffer[..4].copy_from_slice(&length);
    stream.read_exact(&mut buffer[4..])
}
