{ mkPackage, licenses, maintainers, libmp, libterm }:

mkPackage {
  pname = "abacus";
  version = "1.07";

  sources = [ "src/parse.c" "src/eval.c" "src/main.c" ];
  buildInputs = [ libmp libterm ];
  uses."src/eval.c".libmp = [ "mp_add" "mp_mul" "mp_div" ];
  tests = [ "precision" ];
  cost = 30;
  size = 28;

  meta = {
    description = "Calculator of any precision";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.kofi ];
  };
}
