{ mkPackage, licenses, maintainers, quill }:

mkPackage {
  pname = "quill-themes";
  version = "2026.03";
  kind = "data";

  sources = [ "dawn.theme" "dusk.theme" "fjord.theme" ];
  buildInputs = [ quill ];
  cost = 10;
  size = 12;

  meta = {
    description = "Colours for quill";
    license = licenses.mit;
    maintainers = [ maintainers.yun ];
  };
}
