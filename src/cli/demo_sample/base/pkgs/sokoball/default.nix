{ mkPackage, licenses, maintainers, libterm }:

mkPackage {
  pname = "sokoball";
  version = "1.9";

  sources = [ "src/level.c" "src/main.c" ];
  buildInputs = [ libterm ];
  uses."src/main.c".libterm = [ "term_key" "term_draw" ];
  tests = [ "solvable" ];
  cost = 25;
  size = 40;

  meta = {
    description = "Push the balls into their places";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.tadeo ];
  };
}
