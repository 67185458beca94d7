{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "libevt";
  version = "4.33";

  sources = [ "src/loop.c" "src/timer.c" "src/signal.c" "src/epoll.c" ];
  exports = [ "ev_loop" "ev_timer" "ev_watch" ];
  tests = [ "timer-order" "signal" ];
  outputs = [ "out" "dev" ];
  cost = 60;
  size = 40;

  meta = {
    description = "Event loop over files, timers and signals";
    license = licenses.bsd2;
    maintainers = [ maintainers.ines ];
  };
}
