DROP TABLE github_repositories;
DROP TABLE installations;
DROP TABLE deliveries;
