{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "treeline";
  version = "0.6.2";

  sources = [ "src/walk.c" "src/main.c" ];
  buildInputs = [ libchar ];
  uses."src/walk.c".libchar = [ "ch_width" ];
  cost = 20;
  size = 16;

  meta = {
    description = "Lists folders as trees";
    license = licenses.mit;
    maintainers = [ maintainers.tadeo ];
  };
}
