DROP INDEX attributes_by_own_name;
