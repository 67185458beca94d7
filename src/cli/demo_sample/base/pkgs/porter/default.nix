{ mkPackage, licenses, maintainers, libtls, libevt, zpack, librx }:

mkPackage {
  pname = "porter";
  version = "1.26.2";

  sources = [ "src/listen.c" "src/route.c" "src/static.c" "src/proxy.c" "src/main.c" ];
  buildInputs = [ libtls libevt zpack librx ];
  uses = {
    "src/listen.c".libtls = [ "tls_accept" ];
    "src/listen.c".libevt = [ "ev_loop" ];
    "src/route.c".librx = [ "rx_new" "rx_match" ];
  };
  tests = [ "range-requests" "slow-client" "traversal" ];
  cost = 140;
  size = 120;

  meta = {
    description = "Web server that fits on a page";
    license = licenses.bsd2;
    maintainers = [ maintainers.marit ];
    mainProgram = "porter";
  };
}
