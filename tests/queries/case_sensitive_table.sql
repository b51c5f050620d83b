select * from "Y1_drift";
select * from Y1_drift
