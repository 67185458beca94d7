{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "libmp";
  version = "1.9.4";

  sources = [ "src/add.c" "src/mul.c" "src/div.c" "src/modexp.c" ];
  exports = [ "mp_init" "mp_add" "mp_mul" "mp_div" "mp_modexp" ];
  tests = [ "known-answers" "carry" ];
  outputs = [ "out" "dev" ];
  cost = 120;
  size = 120;

  meta = {
    description = "Arithmetic on large integers";
    license = licenses.lgpl21Plus;
    maintainers = [ maintainers.kofi ];
  };
}
