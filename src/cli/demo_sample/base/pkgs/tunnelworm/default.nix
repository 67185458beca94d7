{ mkPackage, licenses, maintainers, libtls, libevt }:

mkPackage {
  pname = "tunnelworm";
  version = "0.11";

  sources = [ "src/tunnel.c" "src/main.c" ];
  buildInputs = [ libtls libevt ];
  uses."src/tunnel.c".libtls = [ "tls_read" "tls_write" ];
  tests = [ "half-close" ];
  cost = 35;
  size = 30;

  meta = {
    description = "Carries TCP through TLS";
    license = licenses.isc;
    maintainers = [ maintainers.tadeo ];
  };
}
