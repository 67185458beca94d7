{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "libtz";
  version = "2026b";

  sources = [ "src/zone.c" "src/leap.c" ];
  exports = [ "tz_load" "tz_local" ];
  tests = [ "dst-gap" ];
  outputs = [ "out" "dev" ];
  cost = 35;
  size = 420;

  meta = {
    description = "Time zones and calendars";
    license = licenses.cc0;
    maintainers = [ maintainers.ines ];
  };
}
