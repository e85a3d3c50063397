-- Records that something ties to others, who are somebody else by something that speaks against it. Whatever is said about
-- one of them anew may decide about all.
CREATE TABLE contest (
    link BIGINT NOT NULL PRIMARY KEY
){clustered};
