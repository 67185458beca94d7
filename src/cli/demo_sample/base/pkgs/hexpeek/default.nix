{ mkPackage, licenses, maintainers, libterm }:

mkPackage {
  pname = "hexpeek";
  version = "2.0";

  sources = [ "src/view.c" "src/main.c" ];
  buildInputs = [ libterm ];
  uses."src/view.c".libterm = [ "term_draw" ];
  cost = 20;
  size = 18;

  meta = {
    description = "Looks into binary files";
    license = licenses.mit;
    maintainers = [ maintainers.tadeo ];
  };
}
