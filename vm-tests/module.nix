# Evaluates the NixOS module without NixOS: the options that it sets are stand-ins. True, or an error that names what differs.
#
#   nix-instantiate --eval vm-tests/module.nix --arg lib 'import <nixpkgs/lib>'
{ lib }:
let
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
    meta.mainProgram = name;
  };

  # Of nixpkgs, what the module uses. A file is its own text.
  pkgs = {
    snowgate = package "snowgate";
    git = package "git";
    openssh = package "openssh";
    formats.toml = _: {
      type = lib.types.attrsOf lib.types.anything;
      generate = _name: builtins.toJSON;
    };
    runCommand =
      _name: _: script:
      script;
  };

  anything = lib.mkOption {
    type = lib.types.attrsOf lib.types.anything;
    default = { };
  };
  list = lib.mkOption {
    type = lib.types.listOf lib.types.anything;
    default = [ ];
  };

  evaluate =
    settings:
    (lib.evalModules {
      specialArgs = { inherit pkgs; };
      modules = [
        ../nixos/module.nix
        { services.snowgate = settings; }
        {
          options = {
            environment.etc = anything;
            environment.systemPackages = list;
            users.users = anything;
            users.groups = anything;
            systemd.packages = list;
            systemd.services = anything;
            systemd.sockets = anything;
            nix.settings = anything;
            nix.package = lib.mkOption { default = package "nix"; };
            networking.firewall.allowedTCPPorts = list;
          };
        }
      ];
    }).config;

  off = evaluate { };
  plain = evaluate { enable = true; };
  full = evaluate {
    enable = true;
    openFirewall = true;
    checkSettings = false;
    worker.enable = false;
    settings = {
      listen = "[::]:80";
      state_dir = "/data/snowgate";
      build.jobs = 4;
      repository = [
        {
          name = "us/packages";
          path = "/srv/packages.git";
        }
      ];
    };
  };

  config = system: system.environment.etc."snowgate/config.toml".source;
  written = builtins.fromJSON (config full);

  expected = {
    "nothing happens unless it is enabled" = off.environment.etc == { } && off.systemd.services == { };
    "the settings are checked when the system is built" = lib.hasInfix "/bin/snowgate config check " (config plain);
    "the page is for this machine alone by default" =
      lib.hasInfix "127.0.0.1:7669" (config plain) && plain.networking.firewall.allowedTCPPorts == [ ];
    "the port in the firewall is the one of the settings" = full.networking.firewall.allowedTCPPorts == [ 80 ];
    "keys that the module does not know are written too" =
      written.build.jobs == 4 && (builtins.head written.repository).name == "us/packages";
    "the service may write to a state directory elsewhere" =
      full.systemd.services.snowgate.serviceConfig.ReadWritePaths == [ "/data/snowgate" ];
    "the default state directory needs no more than the unit gives" =
      !(plain.systemd.services.snowgate.serviceConfig ? ReadWritePaths);
    "the unit is the package's" = map (unit: unit.name) plain.systemd.packages == [ "snowgate" ];
    "Nix, git and ssh are on its path" = map (program: program.name) plain.systemd.services.snowgate.path == [
      "nix"
      "git"
      "openssh"
    ];
    "the worker starts when it is asked, with Nix on its path" =
      plain.systemd.sockets.snowgate-worker.wantedBy == [ "sockets.target" ]
      && map (program: program.name) plain.systemd.services.snowgate-worker.path == [ "nix" ];
    "there is no worker where none is wanted" = !(full.systemd.services ? snowgate-worker);
    "it runs as a user of its own" = plain.users.users.snowgate.isSystemUser;
  };
  failed = lib.attrNames (lib.filterAttrs (_: holds: !holds) expected);
in
failed == [ ] || throw "the module differs: ${lib.concatStringsSep "; " failed}"
