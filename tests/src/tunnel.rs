//! A loopback port behind which another server answers: what `ssh -L` leaves on a
//! laptop.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::Result;

/// Connections that one tunnel carries; no test makes more.
const CONNECTIONS_MAX: usize = 64;

/// A tunnel; it carries connections until the test's process ends.
pub struct Tunnel {
    mouth: SocketAddr,
}

impl Tunnel {
    /// A tunnel to this address.
    ///
    /// # Errors
    /// When no port is to be had.
    pub fn to(far: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mouth = listener.local_addr()?;
        std::thread::spawn(move || {
            for near in listener.incoming().take(CONNECTIONS_MAX).flatten() {
                if let Ok(far) = TcpStream::connect(far) {
                    carry(near, far);
                }
            }
        });
        Ok(Self { mouth })
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.mouth.port()
    }
}

fn carry(near: TcpStream, far: TcpStream) {
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
        return;
    };
    std::thread::spawn(move || pass(near, far));
    std::thread::spawn(move || pass(far_too, near_too));
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // Either end may go at any time; then the other goes too.
    let _ended = std::io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Both);
}
