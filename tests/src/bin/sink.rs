//! The reference for `cargo xtask bench uploads`: takes a body through actix-web and
//! writes it to a file, as plainly as that can be done. Its one argument is a folder,
//! or `-` to throw the bytes away.
//!
//! It never resumes, names, hashes or records anything: what Slipway costs beyond
//! this is the price of what it does beyond this.

#![expect(clippy::print_stderr, reason = "its address is all it has to say")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};
use futures_util::StreamExt;

/// What is handed to the disk at once, as a careful server would.
const PIECE_BYTES: usize = 1024 * 1024;

/// As many as a process of Slipway has.
const WORKERS: usize = 2;

#[actix_web::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("which folder?")?;
    let folder = (folder != "-").then(|| PathBuf::from(folder));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(folder.clone()))
            .route("/{name}", web::put().to(put))
    });
    let server = server.workers(WORKERS).bind(("127.0.0.1", 0))?;
    let address = server.addrs().first().copied().context("no address")?;
    eprintln!("listening on http://{address}");
    Ok(server.run().await?)
}

async fn put(
    folder: web::Data<Option<PathBuf>>,
    name: web::Path<String>,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    match folder.as_deref() {
        Some(folder) => write(&folder.join(&*name), body).await?,
        None => discard(body).await?,
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn discard(mut body: web::Payload) -> actix_web::Result<()> {
    while let Some(piece) = body.next().await {
        drop(piece?);
    }
    Ok(())
}

/// Gathers one piece while the one before is written.
async fn write(path: &Path, mut body: web::Payload) -> actix_web::Result<()> {
    let file = Arc::new(File::create(path)?);
    let (mut at, mut writing) = (0, None);
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        let more = body.next().await.transpose()?;
        if let Some(bytes) = &more {
            piece.extend_from_slice(bytes);
        }
        if piece.len() < PIECE_BYTES && more.is_some() {
            continue;
        }
        if let Some(writing) = writing.take() {
            finished(writing).await?;
        }
        let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
        let (file, start) = (Arc::clone(&file), at);
        at += full.len() as u64;
        writing = Some(blocking(move || file.write_all_at(&full, start)));
        if more.is_none() {
            break;
        }
    }
    if let Some(writing) = writing {
        finished(writing).await?;
    }
    finished(blocking(move || file.sync_data())).await
}

type Writing = actix_web::rt::task::JoinHandle<std::io::Result<()>>;

#[expect(clippy::disallowed_methods, reason = "it has no rooms")]
fn blocking(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Writing {
    actix_web::rt::task::spawn_blocking(work)
}

async fn finished(writing: Writing) -> actix_web::Result<()> {
    let written = writing.await.map_err(std::io::Error::other)?;
    Ok(written?)
}
