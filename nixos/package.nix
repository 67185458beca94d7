# The program, and the systemd units that start it.
{
  lib,
  rustPlatform,
}:
let
  manifest = lib.importTOML ../Cargo.toml;
in
rustPlatform.buildRustPackage {
  pname = "snowgate";
  inherit (manifest.package) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../build.rs
      ../src
      ../migrations
      ../assets
      ../benches
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  # The tests run Nix on a store of their own, which a build cannot: `make test` runs them.
  doCheck = false;

  postInstall = ''
    install -Dm644 -t $out/lib/systemd/system assets/systemd/snowgate.service assets/systemd/snowgate-worker.{service,socket}
    substituteInPlace $out/lib/systemd/system/*.service --replace-fail /usr/local/bin/snowgate $out/bin/snowgate
  '';

  meta = {
    inherit (manifest.package) description;
    homepage = manifest.package.repository;
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "snowgate";
    platforms = lib.platforms.linux;
  };
}
