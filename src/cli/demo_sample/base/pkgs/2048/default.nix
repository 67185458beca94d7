{ mkPackage, licenses, maintainers, libterm }:

mkPackage {
  pname = "2048";
  version = "1.0.3";

  sources = [ "src/board.c" "src/main.c" ];
  buildInputs = [ libterm ];
  uses."src/main.c".libterm = [ "term_key" ];
  cost = 15;
  size = 14;

  meta = {
    description = "Slide numbers until they fill the board";
    license = licenses.mit;
    maintainers = [ maintainers.tadeo ];
  };
}
