{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "mandoline";
  version = "1.14.6";

  sources = [ "src/roff.c" "src/tags.c" "src/main.c" ];
  buildInputs = [ libchar ];
  uses."src/roff.c".libchar = [ "ch_decode" ];
  tests = [ "every-macro" ];
  cost = 60;
  size = 50;

  meta = {
    description = "Formats manual pages";
    license = licenses.isc;
    maintainers = [ maintainers.marit ];
  };
}
