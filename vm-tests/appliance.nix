# A machine with the module, and a local repository whose one branch breaks a package: its review must end blocked, for that reason.
{ pkgs, ... }:
let
  release = pkgs.writeText "release.nix" ''
    { system ? builtins.currentSystem }:
    let build = name: script: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; };
    in { works = build "works" "echo > $out"; breaks = build "breaks" "echo > $out"; }
  '';
in
{
  name = "snowgate-appliance";

  nodes.machine = {
    environment.systemPackages = [
      pkgs.git
      pkgs.jq
    ];
    nix.settings.substituters = [ ];
    virtualisation.writableStore = true;
    services.snowgate = {
      enable = true;
      settings.repository = [
        {
          name = "us/packages";
          path = "/srv/packages";
        }
      ];
    };
    # The repository stands before the service starts.
    systemd.services.sample = {
      wantedBy = [ "multi-user.target" ];
      before = [ "snowgate.service" ];
      path = [ pkgs.git ];
      serviceConfig.Type = "oneshot";
      serviceConfig.User = "snowgate";
      serviceConfig.ExecStartPre = "+${pkgs.coreutils}/bin/install -d -o snowgate /srv/packages";
      script = ''
        cd /srv/packages
        export HOME=$PWD GIT_AUTHOR_NAME=us GIT_AUTHOR_EMAIL=us@example.org GIT_COMMITTER_NAME=us GIT_COMMITTER_EMAIL=us@example.org
        git init -q -b main
        cp ${release} release.nix && chmod u+w release.nix
        git add release.nix && git commit -q -m "Two packages"
        git checkout -q -b break
        sed -i 's/"breaks" "echo > $out"/"breaks" "exit 1"/' release.nix
        git commit -q -a -m "Break one"
        git checkout -q main
      '';
    };
  };

  testScript = ''
    machine.wait_for_unit("snowgate.service")
    machine.wait_for_open_port(7669)
    machine.succeed("curl --fail --silent http://127.0.0.1:7669/healthz")
    machine.wait_until_succeeds(
        "curl --fail --silent http://127.0.0.1:7669/r/us/packages/pull/1 | grep -q breaks", timeout=120
    )
    machine.succeed("systemctl stop snowgate.service")
    machine.fail("pgrep -u snowgate")
  '';
}
