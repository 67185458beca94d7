{ mkPackage, licenses, maintainers, libchar, words-en, words-nb }:

mkPackage {
  pname = "spelt";
  version = "0.60.8";

  sources = [ "src/suggest.c" "src/main.c" ];
  buildInputs = [ libchar words-en words-nb ];
  uses."src/suggest.c".libchar = [ "ch_fold" ];
  tests = [ "homophones" ];
  cost = 45;
  size = 30;

  meta = {
    description = "Checks spelling";
    license = licenses.lgpl21Plus;
    maintainers = [ maintainers.yun ];
  };
}
