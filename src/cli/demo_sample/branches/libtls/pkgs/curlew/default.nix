{ mkPackage, licenses, maintainers, libtls, zpack, libchar }:

mkPackage {
  pname = "curlew";
  version = "8.10.0";

  sources = [ "src/url.c" "src/http.c" "src/proxy.c" "src/cookie.c" "src/hsts.c" "src/main.c" ];
  exports = [ "cu_get" "cu_post" "cu_free" ];
  buildInputs = [ libtls zpack libchar ];
  uses."src/http.c".libtls = [ "tls_new" "tls_connect" ];
  uses."src/http.c".zpack = [ "zp_read" ];
  tests = [ "redirects" "cookies" "proxy" ];
  outputs = [ "out" "dev" "man" ];
  cost = 160;
  size = 180;

  meta = {
    description = "Transfers files over HTTP";
    homepage = "https://curlew.example.org";
    license = licenses.mit;
    maintainers = [ maintainers.marit ];
    mainProgram = "curlew";
  };
}
