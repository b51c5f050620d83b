select table_name from information_schema.tables where table_schema = 'public' order by 1;
describe rejects;
show columns from rejects
