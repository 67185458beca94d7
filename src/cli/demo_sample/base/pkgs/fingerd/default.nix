{ mkPackage, licenses, maintainers, libevt }:

mkPackage {
  pname = "fingerd";
  version = "0.3";

  sources = [ "src/main.c" ];
  buildInputs = [ libevt ];
  uses."src/main.c".libevt = [ "ev_watch" ];
  cost = 15;
  size = 12;

  meta = {
    description = "Tells who is logged in";
    license = licenses.isc;
    maintainers = [ maintainers.tadeo ];
  };
}
