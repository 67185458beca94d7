{ mkPackage, licenses, maintainers, libjot, librx }:

mkPackage {
  pname = "jotq";
  version = "1.7.1";

  sources = [ "src/parse.c" "src/run.c" "src/main.c" ];
  buildInputs = [ libjot librx ];
  uses."src/run.c".libjot = [ "jot_parse" "jot_at" ];
  tests = [ "paths" "unicode" ];
  cost = 50;
  size = 34;

  meta = {
    description = "Asks questions of JSON";
    license = licenses.mit;
    maintainers = [ maintainers.ines ];
  };
}
