//! What a load sends: one target from flags, or several from a file.

use std::path::Path;

use anyhow::Context as _;
use meshy_base::error::{Advise as _, Exit};
use meshy_base::input;
use meshy_load::spec::MOST_BODY;
use meshy_load::{Target, TargetSpec, Targets, Tls};

use super::Args;

/// The hint for what is not a URL.
const URL: &str = "a URL is http://HOST[:PORT]/PATH, or grpc://HOST[:PORT]/SERVICE/METHOD";

/// A file of targets.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    targets: Vec<TargetSpec>,
}

/// Returns the targets that the flags describe.
///
/// # Errors
/// Returns an error if a file cannot be read, or what it or a flag describes is not valid.
pub(super) fn read(args: &Args) -> anyhow::Result<Vec<TargetSpec>> {
    let mut specs = match (&args.targets, &args.url) {
        (Some(file), _) => of_file(file)?,
        (None, url) => vec![of_flags(args, url.as_deref().unwrap_or_default())?],
    };
    for spec in &mut specs {
        for header in &args.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("invalid header `{header}`, expected `Name: value`"))
                .exit(Exit::Usage)?;
            spec.headers.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        spec.http2 |= args.http2;
    }
    TargetSpec::targets(&specs).hint(URL).exit(Exit::Usage)?;
    Ok(specs)
}

fn of_flags(args: &Args, url: &str) -> anyhow::Result<TargetSpec> {
    let mut spec = TargetSpec { url: url.to_owned(), ..TargetSpec::default() };
    let default = (!url.starts_with("grpc://")).then_some("GET");
    spec.method = args.method.as_ref().map(http::Method::as_str).or(default).map(str::to_owned);
    match args.data.as_deref().map(|data| (data, data.strip_prefix('@'))) {
        Some((_, Some(file))) => spec.set_body(body(Path::new(file))?),
        Some((text, None)) => spec.body = Some(text.to_owned()),
        None => {}
    }
    Ok(spec)
}

fn of_file(file: &Path) -> anyhow::Result<Vec<TargetSpec>> {
    let name = file.display();
    let text = input::any_text(file).with_context(|| format!("cannot read {name}"))?;
    let read: File =
        serde_yaml::from_str(&text).with_context(|| format!("{name} is not a file of targets"))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let each = read.targets.into_iter().map(|spec| spec.with_body(|path| body(&folder.join(path))));
    each.collect::<anyhow::Result<_>>().with_context(|| format!("invalid target in {name}")).exit(Exit::Usage)
}

fn body(file: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    open.take(MOST_BODY as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(bytes)
}

/// Returns a target for a load from this machine; its host is resolved now.
///
/// # Errors
/// Returns an error if the host is unknown, or the file of `--cacert` has no certificate.
pub(super) async fn local(args: &Args, spec: &TargetSpec) -> anyhow::Result<Target> {
    let mut target = spec.target()?;
    target.server = Target::of_url(&spec.url).await.hint(URL)?.server;
    if let (Some(file), Some(_)) = (&args.cacert, &target.tls) {
        let pem = input::any_text(file).with_context(|| format!("cannot read {}", file.display()))?;
        let tls = Tls::with_authorities(pem.as_bytes());
        target.tls =
            Some(tls.with_context(|| format!("{} cannot be used", file.display())).exit(Exit::Usage)?);
    }
    Ok(target)
}

/// Returns the targets as a load takes them.
///
/// # Errors
/// Returns an error if the weights are not valid.
pub(super) fn weighted(all: Vec<(Target, u32)>) -> anyhow::Result<Targets> {
    Targets::new(all).exit(Exit::Usage)
}
