{ mkPackage, licenses, maintainers, libterm, libchar }:

mkPackage {
  pname = "sprig";
  version = "3.7.1";

  sources = [ "src/lex.c" "src/expand.c" "src/jobs.c" "src/complete.c" "src/main.c" ];
  buildInputs = [ libterm libchar ];
  uses."src/complete.c".libterm = [ "term_key" ];
  tests = [ "quoting" "job-control" "heredoc" ];
  outputs = [ "out" "man" "doc" ];
  cost = 130;
  size = 140;

  meta = {
    description = "Shell for people and scripts";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.marit ];
    mainProgram = "sprig";
  };
}
