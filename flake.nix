{
  description = "Snowgate: the gate of a Nix repository";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.callPackage ./nixos/package.nix { };
      });

      overlays.default = final: _prev: {
        snowgate = final.callPackage ./nixos/package.nix { };
      };

      nixosModules = {
        default = {
          imports = [ ./nixos/module.nix ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
        appliance = {
          imports = [ ./nixos/appliance.nix ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
      };

      # The appliance as it is, without repositories.
      nixosConfigurations.appliance = lib.nixosSystem {
        modules = [
          self.nixosModules.appliance
          { nixpkgs.hostPlatform = "x86_64-linux"; }
        ];
      };

      checks = forEachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        module = assert import ./vm-tests/module.nix { inherit lib; }; pkgs.emptyFile;
        appliance = pkgs.testers.runNixOSTest {
          imports = [ ./vm-tests/appliance.nix ];
          defaults = self.nixosModules.default;
        };
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            cargo
            cargo-nextest
            clippy
            git
            gnumake
            pkg-config
            rustc
            rustfmt
          ];
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-rfc-style);
    };
}
