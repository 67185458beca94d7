# Old names. They go a year after they came here.
{ packages }:

{
  flashview = throw "flashview has been removed: its upstream is gone, and nothing else reads the format"; # 2026-02
  wget-ng = packages.curlew; # 2026-05
}
