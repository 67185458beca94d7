# services.snowgate: the settings become /etc/snowgate/config.toml, the unit is the one that the package brings.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.snowgate;
  toml = pkgs.formats.toml { };
  written = toml.generate "snowgate-config.toml" cfg.settings;
  # A mistake in the settings stops the rebuild, not the service.
  checked = pkgs.runCommand "snowgate-config-checked.toml" { } ''
    ${lib.getExe cfg.package} config check ${written}
    cp ${written} $out
  '';
  port = lib.toInt (lib.last (lib.splitString ":" cfg.settings.listen));
in
{
  options.services.snowgate = {
    enable = mkEnableOption "Snowgate, the gate of a Nix repository";

    package = mkOption {
      type = types.package;
      default = pkgs.snowgate;
      defaultText = lib.literalExpression "pkgs.snowgate";
      description = "The Snowgate package to run.";
    };

    settings = mkOption {
      default = { };
      example = lib.literalExpression ''
        {
          listen = "0.0.0.0:7669";
          repository = [ { name = "us/packages"; path = "/srv/packages.git"; } ];
          build.jobs = 4;
        }
      '';
      description = ''
        What goes into {file}`/etc/snowgate/config.toml`; `snowgate config schema` describes every key.
        Secrets don't belong here: the file is readable by everyone. Name files that hold them.
      '';
      type = types.submodule {
        freeformType = toml.type;
        options = {
          listen = mkOption {
            type = types.str;
            default = "127.0.0.1:7669";
            description = "Address and port of the web pages.";
          };
          state_dir = mkOption {
            type = types.path;
            default = "/var/lib/snowgate";
            description = "Where reviews, logs and checkouts are kept.";
          };
        };
      };
    };

    checkSettings = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the settings are checked when the system is built. Turn it off to build for another platform.";
    };

    worker.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether builds run with limits of their own, started by a small service of root that does nothing else. Without it they go through the
        machine's Nix daemon, and nothing limits or measures what a build uses.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the port of the web pages is opened in the firewall.";
    };
  };

  config = mkIf cfg.enable {
    # The service looks at what this link leads to, and takes new settings up without a restart.
    environment.etc."snowgate/config.toml".source = if cfg.checkSettings then checked else written;

    environment.systemPackages = [ cfg.package ];

    users.users.snowgate = {
      isSystemUser = true;
      group = "snowgate";
      home = "/var/lib/snowgate";
      description = "Snowgate";
    };
    users.groups.snowgate = { };

    systemd.packages = [ cfg.package ];
    systemd.services.snowgate-worker = mkIf cfg.worker.enable {
      path = [ config.nix.package ];
      restartTriggers = [
        (builtins.toJSON (cfg.settings.build or { }))
        (builtins.toJSON (cfg.settings.worker or { }))
      ];
    };
    systemd.services.snowgate = {
      wantedBy = [ "multi-user.target" ];
      path = [
        config.nix.package
        pkgs.git
        pkgs.openssh
      ];
      # All other keys are taken up while it runs.
      restartTriggers = [
        cfg.settings.listen
        cfg.settings.state_dir
        (builtins.toJSON (cfg.settings.log or { }))
        (builtins.toJSON (cfg.settings.eval or { }))
        (builtins.toJSON (removeAttrs (cfg.settings.build or { }) [ "machines_file" ]))
        (builtins.toJSON (removeAttrs (cfg.settings.github or { }) [ "poll_seconds" "policy" ]))
      ];
      serviceConfig.ReadWritePaths = mkIf (cfg.settings.state_dir != "/var/lib/snowgate") [ cfg.settings.state_dir ];
    };

    # Its group is the user's above.
    systemd.sockets = mkIf cfg.worker.enable { snowgate-worker.wantedBy = [ "sockets.target" ]; };

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [ port ];
  };
}
