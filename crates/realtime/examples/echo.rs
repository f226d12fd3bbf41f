//! A WebSocket server that sends back what it gets, for tests of conformance: says on
//! standard output at which port of this machine it listens, and ends with its input.
//!
//! It never serves anything of the product.

use std::io::{Read, Write};
use std::net::TcpListener;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use slipway_realtime::testing;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    HttpServer::new(|| App::new().route("/", web::get().to(echo)))
        .workers(1)
        .listen(listener)?
        .run()
        .await
}

async fn echo(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    rt::spawn(testing::echo(session, stream));
    Ok(response)
}
