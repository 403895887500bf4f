//! What foreign clients need, fetched once through each language's ordinary package client.
//!
//! Everything lands in the [`Cache`]; only Debian packages are installed into the system, only as
//! root, and only when the program is missing. What cannot be had here is a [`Missing`], which
//! makes a suite skip with that reason; a fault of our own programs (a compile error) is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::cache::{Cache, fingerprint};
use crate::process::{last_lines, run};

/// The Apache Kafka that Naru is compared with.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Something that this machine lacks and that could not be installed.
#[derive(Debug)]
pub struct Missing(pub String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not to be had here: {}", self.0)
    }
}

impl std::error::Error for Missing {}

/// Turns a failed installation into a reason for skipping.
fn missing<T>(what: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let said = last_lines(&format!("{error:#}"), 1);
        Missing(format!("{what} ({said})")).into()
    })
}

/// Installs on demand.
#[derive(Debug)]
pub struct Tools {
    cache: Cache,
}

impl Tools {
    pub fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// The folder of Apache Kafka's jars.
    pub fn kafka_jars(&self) -> Result<PathBuf> {
        self.jars(&format!("kafka-{KAFKA_VERSION}"), &foreign().join("java/kafka-pom.xml"), None)
    }

    /// The folder of the jars of Kafka Connect and MirrorMaker.
    pub fn connect_jars(&self) -> Result<PathBuf> {
        let pom = foreign().join("java/connect-pom.xml");
        self.jars(&format!("connect-{KAFKA_VERSION}"), &pom, None)
    }

    /// The folder with an old Java client's jars.
    pub fn old_client_jars(&self, version: &str) -> Result<PathBuf> {
        let pom = foreign().join("java/client-pom.xml");
        self.jars(&format!("client-{version}"), &pom, Some(version))
    }

    fn jars(&self, name: &str, pom: &Path, version: Option<&str>) -> Result<PathBuf> {
        program("java", "default-jdk-headless")?;
        program("mvn", "maven")?;
        let print = fingerprint(&[pom.to_path_buf()])?;
        let made = self.cache.entry(name, &print, |folder| {
            let mut command = Command::new("mvn");
            command.args(["-q", "-B", "dependency:copy-dependencies"]).arg("-f").arg(pom);
            command.arg(format!("-DoutputDirectory={}", folder.join("libs").display()));
            command.args(version.map(|version| format!("-Dkafka.version={version}")));
            run(&mut command).map(|_| ())
        });
        Ok(missing(name, made)?.join("libs"))
    }

    /// Compiles the Java sources in `foreign/java/{folder}` and returns the folder of classes.
    pub fn classes(&self, name: &str, folder: &str, libs: &Path) -> Result<PathBuf> {
        program("javac", "default-jdk-headless")?;
        let mut sources = files_in(&foreign().join("java").join(folder), "java")?;
        sources.extend(files_in(&foreign().join("java/shared"), "java")?);
        self.cache.entry(&format!("classes-{name}"), &fingerprint(&sources)?, |classes| {
            let mut command = Command::new("javac");
            command.args(["-nowarn", "-cp"]).arg(libs.join("*")).arg("-d").arg(classes);
            run(command.args(&sources)).map(|_| ())
        })
    }

    /// A Python with the clients of `foreign/python/requirements.txt`.
    pub fn python(&self) -> Result<PathBuf> {
        program("python3", "python3-venv")?;
        let list = foreign().join("python/requirements.txt");
        let print = fingerprint(std::slice::from_ref(&list))?;
        let made = self.cache.entry("python", &print, |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder)).or_else(|error| {
                // Debian ships `venv` apart from Python itself.
                apt("python3-venv").context(error)?;
                run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            })?;
            let mut pip = Command::new(folder.join("bin/pip"));
            run(pip.args(["install", "--quiet", "-r"]).arg(&list)).map(|_| ())
        });
        Ok(missing("Python clients", made)?.join("bin/python"))
    }

    /// A folder whose `node_modules` holds the clients of `foreign/node/package.json`.
    pub fn node_modules(&self) -> Result<PathBuf> {
        program("node", "nodejs")?;
        program("npm", "npm")?;
        let manifest = foreign().join("node/package.json");
        let print = fingerprint(std::slice::from_ref(&manifest))?;
        let made = self.cache.entry("node", &print, |folder| {
            fs::copy(&manifest, folder.join("package.json"))?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(folder);
            run(&mut npm).map(|_| ())
        });
        missing("Node clients", made)
    }

    /// The Go tour, built.
    pub fn go_tour(&self) -> Result<PathBuf> {
        program("go", "golang-go")?;
        let folder = foreign().join("go");
        let mut sources = files_in(&folder, "go")?;
        sources.push(folder.join("go.mod"));
        let mut modules = Command::new("go");
        missing("Go modules", run(modules.args(["mod", "download"]).current_dir(&folder)))?;
        let made = self.cache.entry("go", &fingerprint(&sources)?, |target| {
            let mut build = Command::new("go");
            build.args(["build", "-o"]).arg(target.join("tour")).arg(".").current_dir(&folder);
            run(&mut build).map(|_| ())
        })?;
        Ok(made.join("tour"))
    }

    /// A C program of ours, built.
    pub fn c_program(&self, name: &str, source: &Path, flags: &[&str]) -> Result<PathBuf> {
        program("gcc", "gcc")?;
        let print = fingerprint(&[source.to_path_buf()])?;
        let made = self.cache.entry(name, &print, |target| {
            let mut gcc = Command::new("gcc");
            gcc.arg("-O2").arg(source).arg("-o").arg(target.join(name)).args(flags);
            run(&mut gcc).map(|_| ())
        })?;
        Ok(made.join(name))
    }

    /// A shared library of ours for preloading, built.
    pub fn preload(&self, name: &str, source: &Path) -> Result<PathBuf> {
        self.c_program(name, source, &["-shared", "-fPIC", "-ldl"])
    }

    /// A lasting folder for what a run leaves to look at.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        self.cache.folder(name)
    }

    /// librdkafka's header and library, for C programs.
    pub fn librdkafka(&self) -> Result<()> {
        if Path::new("/usr/include/librdkafka/rdkafka.h").exists() {
            return Ok(());
        }
        package("librdkafka-dev")
    }
}

/// The folder of foreign programs.
pub fn foreign() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign")
}

/// Makes sure that `name` can be run, installing Debian's `package` if not.
pub fn program(name: &str, package: &str) -> Result<()> {
    let found = || {
        std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        })
    };
    if found() {
        return Ok(());
    }
    missing(name, apt(package))?;
    if found() { Ok(()) } else { Err(Missing(name.to_owned()).into()) }
}

/// Installs a Debian package that brings no program.
pub fn package(name: &str) -> Result<()> {
    missing(name, apt(name))
}

fn apt(package: &str) -> Result<()> {
    // Suites run side by side, and apt-get refuses to.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    anyhow::ensure!(rustix::process::geteuid().is_root(), "installing {package} needs root");
    let install = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command.args(["install", "-y", "-q", "--no-install-recommends", package]))
    };
    if install().is_err() {
        // The package lists may be old or absent.
        run(Command::new("apt-get").args(["update", "-q"]))?;
        install()?;
    }
    Ok(())
}

fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
