{ mkPackage, licenses, maintainers, libtls, libevt }:

mkPackage {
  pname = "dnsq";
  version = "9.20.1";

  sources = [ "src/wire.c" "src/ask.c" "src/main.c" ];
  buildInputs = [ libtls libevt ];
  uses."src/ask.c".libtls = [ "tls_connect" ];
  uses."src/ask.c".libevt = [ "ev_loop" ];
  tests = [ "compression-loop" ];
  cost = 50;
  size = 70;

  meta = {
    description = "Asks name servers";
    license = licenses.mpl20;
    maintainers = [ maintainers.kofi ];
    mainProgram = "dnsq";
  };
}
