# The program, and the systemd unit that starts it.
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
    install -Dm644 assets/systemd/snowgate.service -t $out/lib/systemd/system
    substituteInPlace $out/lib/systemd/system/snowgate.service --replace-fail /usr/local/bin/snowgate $out/bin/snowgate
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
