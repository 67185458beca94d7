# The whole set: `nix-build -A curlew`, `nix-build -A lanternPackages.router`.
{
  system ? builtins.currentSystem,
  config ? { },
  ...
}:

let
  scope = packages // {
    inherit callPackage;
    mkPackage = import ./stdenv { inherit system; };
    licenses = import ./licenses.nix;
    maintainers = import ./maintainers.nix;
  };

  # Calls the function in a file with what it asks for by name.
  callPackage = path: let f = import path; in f (builtins.intersectAttrs (builtins.functionArgs f) scope);

  # Each folder of pkgs is a package of that name.
  packages = builtins.mapAttrs (name: _: callPackage (./pkgs + "/${name}")) (builtins.readDir ./pkgs) // {
    lanternPackages = callPackage ./lantern // { recurseForDerivations = true; };
  };

  aliases = if config.allowAliases or true then import ./aliases.nix { inherit packages; } else { };
in
aliases // packages
