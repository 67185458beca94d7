# Old names. They go a year after they came here.
{ packages }:

{
  wget-ng = packages.curlew; # 2026-05
}
