{ mkPackage, licenses, maintainers, libtls, libevt }:

mkPackage {
  pname = "gopherd";
  version = "1.4";

  sources = [ "src/menu.c" "src/serve.c" "src/main.c" ];
  buildInputs = [ libtls libevt ];
  uses = {
    "src/serve.c".libtls = [ "tls_accept" ];
    "src/serve.c".libevt = [ "ev_watch" ];
    "test:early-data".libtls = [ "tls_early_data" ];
  };
  tests = [ "menu" "redirect" "early-data" ];
  cost = 45;
  size = 40;

  meta = {
    description = "Serves Gopher, plain and over TLS";
    license = licenses.isc;
    maintainers = [ maintainers.tadeo ];
  };
}
