{ mkPackage, licenses, maintainers, libtz, libterm }:

mkPackage {
  pname = "almanac";
  version = "2.2";

  sources = [ "src/month.c" "src/main.c" ];
  buildInputs = [ libtz libterm ];
  uses."src/month.c".libtz = [ "tz_load" "tz_local" ];
  tests = [ "year-2000" ];
  cost = 25;
  size = 20;

  meta = {
    description = "Calendar for the terminal";
    license = licenses.isc;
    maintainers = [ maintainers.tadeo ];
  };
}
