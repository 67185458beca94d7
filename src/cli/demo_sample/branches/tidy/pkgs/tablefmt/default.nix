{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "tables";
  version = "4.1";

  sources = [ "src/layout.c" "src/main.c" ];
  buildInputs = [ libchar ];
  uses."src/layout.c".libchar = [ "ch_width" ];
  tests = [ "wide-characters" ];
  cost = 35;
  size = 24;

  meta = {
    description = "Lays text out in tables";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.kofi ];
  };
}
