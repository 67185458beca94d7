{ mkPackage, licenses, maintainers, larder, tables, libtz }:

mkPackage {
  pname = "reportgen";
  version = "0.4";

  sources = [ "src/collect.c" "src/main.c" ];
  buildInputs = [ larder tables libtz ];
  uses."src/collect.c".larder = [ "ldr_query" ];
  uses."src/collect.c".libtz = [ "tz_local" ];
  tests = [ "leap-year" ];
  cost = 40;
  size = 22;

  meta = {
    description = "Monthly reports from a database";
    license = licenses.mit;
    maintainers = [ maintainers.kofi ];
  };
}
