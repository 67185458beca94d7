{ mkPackage, licenses, maintainers, curlew, libxml-lite, libterm, larder }:

mkPackage {
  pname = "gazette";
  version = "3.1";

  sources = [ "src/feed.c" "src/view.c" "src/store.c" "src/main.c" ];
  buildInputs = [ curlew libxml-lite libterm larder ];
  uses = {
    "src/feed.c".curlew = [ "cu_get" ];
    "src/feed.c".libxml-lite = [ "xl_parse" ];
    "src/view.c".libterm = [ "term_draw" ];
  };
  tests = [ "broken-feeds" ];
  cost = 80;
  size = 75;

  meta = {
    description = "Feed reader for the terminal";
    license = licenses.mit;
    maintainers = [ maintainers.yun ];
  };
}
