# The appliance: a machine that does nothing but Snowgate. Import it beside your repositories and your SSH key;
# `config.system.build.image` is its disk, for a virtual machine or, with `image.format = "raw"`, for a real one.
{ lib, modulesPath, ... }:
{
  imports = [
    ./module.nix
    "${modulesPath}/profiles/qemu-guest.nix"
    "${modulesPath}/virtualisation/disk-image.nix"
  ];

  networking.hostName = lib.mkDefault "snowgate";

  services.snowgate = {
    enable = true;
    openFirewall = lib.mkDefault true;
    settings.listen = lib.mkDefault "0.0.0.0:7669";
  };

  services.openssh = {
    enable = lib.mkDefault true;
    settings.PasswordAuthentication = lib.mkDefault false;
  };

  nix.settings = {
    experimental-features = [
      "nix-command"
      "flakes"
    ];
    # Nobody but root may change how builds are confined.
    trusted-users = lib.mkForce [ "root" ];
    sandbox = true;
  };

  # Logs of the machine must not fill the disk that builds need.
  services.journald.extraConfig = lib.mkDefault "SystemMaxUse=500M";
  documentation.enable = lib.mkDefault false;

  system.stateVersion = lib.mkDefault "25.11";
}
